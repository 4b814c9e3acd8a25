// The app of bolt_python.py with Bolt for JavaScript, as its documentation shows it: Socket Mode, or HTTP (`PORT`).
const { App } = require("@slack/bolt");

const http = process.env.PORT;
const app = new App({
  token: process.env.SLACK_BOT_TOKEN,
  signingSecret: process.env.SLACK_SIGNING_SECRET,
  appToken: http ? undefined : process.env.SLACK_APP_TOKEN,
  socketMode: !http,
  clientOptions: { slackApiUrl: process.env.SLACK_API_URL },
});

const PEOPLE = ["Grace Hopper", "Ada Lovelace", "Alan Turing"];
const text = (words) => ({ type: "plain_text", text: words });
const section = (words) => ({ type: "section", text: { type: "mrkdwn", text: words } });

const ticketView = (title = "") => ({
  type: "modal",
  callback_id: "ticket",
  title: text("New ticket"),
  submit: text("Open"),
  blocks: [
    {
      type: "input",
      block_id: "title",
      label: text("Title"),
      element: { type: "plain_text_input", action_id: "value", initial_value: title },
    },
    {
      type: "input",
      block_id: "assignee",
      label: text("Assignee"),
      optional: true,
      element: { type: "external_select", action_id: "assignee", min_query_length: 0 },
    },
    {
      type: "input",
      block_id: "watchers",
      label: text("Watchers"),
      optional: true,
      element: { type: "multi_users_select", action_id: "watchers" },
    },
    {
      type: "actions",
      elements: [
        { type: "button", action_id: "help", text: text("Help") },
        { type: "button", action_id: "example", text: text("Example") },
      ],
    },
  ],
});

const noteView = (words) => ({ type: "modal", title: text("Help"), blocks: [section(words)] });

app.message("hello", async ({ message, say }) => {
  const button = { type: "button", action_id: "wave", text: text("Wave"), value: "1" };
  await say({ text: "Hey!", blocks: [{ ...section(`Hey <@${message.user}>!`), accessory: button }] });
});

app.action("wave", async ({ ack, body, respond, say }) => {
  await ack();
  await respond({ text: `<@${body.user.id}> waved`, replace_original: true });
  await say({ text: "In the thread", thread_ts: body.message.ts });
});

app.event("app_mention", async ({ event, say, client }) => {
  const { user } = await client.users.info({ user: event.user });
  await say({ text: `You called, ${user.profile.real_name}?`, thread_ts: event.ts });
});

app.message("report", async ({ message, client }) => {
  await client.filesUploadV2({
    channel_id: message.channel,
    filename: "report.csv",
    content: "a,b\n1,2\n",
    initial_comment: "Here it is",
  });
});

app.event("reaction_added", async ({ event, client }) => {
  const { channel, ts } = event.item;
  await client.chat.postMessage({ channel, thread_ts: ts, text: `${event.reaction} counted` });
});

app.command("/ticket", async ({ ack, command, respond, client }) => {
  await ack();
  if (command.text === "count") {
    await respond({ text: "There are 3 tickets", response_type: "in_channel" });
    await respond("Only for you");
    return;
  }
  await client.views.open({ trigger_id: command.trigger_id, view: ticketView(command.text) });
});

app.shortcut("new_ticket", async ({ ack, shortcut, client }) => {
  await ack();
  await client.views.open({ trigger_id: shortcut.trigger_id, view: ticketView() });
});

app.shortcut("ticket_from_message", async ({ ack, shortcut, client }) => {
  await ack();
  await client.views.open({ trigger_id: shortcut.trigger_id, view: ticketView(shortcut.message.text) });
});

app.options("assignee", async ({ ack, options }) => {
  const found = PEOPLE.filter((name) => name.toLowerCase().includes(options.value.toLowerCase()));
  await ack({ options: found.map((name) => ({ text: text(name), value: name.split(" ")[0] })) });
});

app.action("help", async ({ ack, body, client }) => {
  await ack();
  await client.views.push({ trigger_id: body.trigger_id, view: noteView("A ticket has a title.") });
});

app.action("example", async ({ ack, body, client }) => {
  await ack();
  const { id, hash } = body.view;
  await client.views.update({ view_id: id, hash, view: ticketView("An example") });
});

app.view("ticket", async ({ ack, body, view, client }) => {
  const { title, assignee } = view.state.values;
  if (title.value.value.length < 5) {
    await ack({ response_action: "errors", errors: { title: "Say a little more" } });
    return;
  }
  if (title.value.value === "show me") {
    await ack({ response_action: "update", view: noteView("Shown") });
    return;
  }
  await ack();
  const who = assignee.assignee.selected_option?.value ?? "nobody";
  await client.chat.postMessage({ channel: body.user.id, text: `Opened “${title.value.value}” for ${who}` });
});

app.event("app_home_opened", async ({ event, client }) => {
  await client.views.publish({ user_id: event.user, view: { type: "home", blocks: [section(`Tickets of <@${event.user}>`)] } });
});

app.start(http).then(() => console.log("running"));
