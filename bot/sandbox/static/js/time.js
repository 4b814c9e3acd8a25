// Times as Slack writes them, in the reader's time zone.
const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const dayLong = new Intl.DateTimeFormat(undefined, { weekday: "long", month: "long", day: "numeric" });
const DAY = 86_400_000;

export const dateOf = (ts) => new Date(Number(ts) * 1000);
export const clockOf = (ts) => clock.format(dateOf(ts));
export const exactOf = (ts) => exact.format(dateOf(ts));
export const dayKey = (ts) => dateOf(ts).toDateString();

function daysAgo(date) {
  const midnight = (value) => new Date(value.getFullYear(), value.getMonth(), value.getDate()).getTime();
  return Math.round((midnight(new Date()) - midnight(date)) / DAY);
}

function pretty(date, otherwise) {
  const named = { 0: "Today", 1: "Yesterday", "-1": "Tomorrow" }[daysAgo(date)];
  return named ?? otherwise;
}

export function dayTitle(ts) {
  const date = dateOf(ts);
  return pretty(date, dayLong.format(date));
}

/** "just now", "5 minutes ago", "3 days ago". */
export function ago(ts) {
  const seconds = Math.max(0, Date.now() / 1000 - Number(ts));
  const steps = [[60, "second"], [60, "minute"], [24, "hour"], [30, "day"], [12, "month"], [Infinity, "year"]];
  let value = seconds;
  for (const [size, unit] of steps) {
    if (value < size) {
      const whole = Math.floor(value);
      if (unit === "second") return "just now";
      return `${whole} ${unit}${whole === 1 ? "" : "s"} ago`;
    }
    value /= size;
  }
  return "";
}

function part(options) {
  return (date) => new Intl.DateTimeFormat(undefined, options).format(date);
}

const numeric = part({ year: "numeric", month: "2-digit", day: "2-digit" });
const plain = part({ year: "numeric", month: "long", day: "numeric" });
const short = part({ year: "numeric", month: "short", day: "numeric" });
const long = part({ weekday: "long", year: "numeric", month: "long", day: "numeric" });
const FORMATS = {
  date_num: numeric,
  date: plain,
  date_short: short,
  date_long: long,
  date_slash: numeric,
  date_pretty: (date) => pretty(date, plain(date)),
  date_short_pretty: (date) => pretty(date, short(date)),
  date_long_pretty: (date) => pretty(date, long(date)),
  time: part({ hour: "numeric", minute: "2-digit" }),
  time_secs: part({ hour: "numeric", minute: "2-digit", second: "2-digit" }),
  ago: (date) => ago(date.getTime() / 1000),
};

/** Fills a `<!date^…>` pattern such as "{date_pretty} at {time}"; the fallback is used when the time is not a number. */
export function slackDate(seconds, pattern, fallback) {
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(date.getTime())) return fallback;
  return pattern.replace(/\{(\w+)\}/g, (whole, name) => FORMATS[name]?.(date) ?? whole);
}
