"""Files that were shared with a message, and voice clips."""

from __future__ import annotations

FILE_UNNAMED = "a file"
AND = "{rest} and {last}"
FILES_CUT = (
    "I read only the beginning of {names}: attached texts may have {count:,} characters together."
)
NO_VISION = "{model} can't see images, so it answers without {names}."
NO_VISION_AND_NO_TEXT = "{model} can't see images, and there is nothing else in your message."
NO_VISION_SUGGESTIONS = "Models that can: {models}."
NO_VISION_CHOOSE = "Please choose one that can: {models}."
FILE_PROBLEMS: dict[str, str] = {
    "kind": "I can't read {names}. I take images (png, jpeg, gif, webp), documents (pdf, docx, xlsx, pptx, odt, ods, "
    "rtf, epub, html, eml) and text files: share it as one of those, or paste its text.",
    "broken": "I can't open {names} as an image. Please save it as png or jpeg and share it again.",
    "too_large": "I can't take {names}: that image is too large. Please share a smaller one.",
    "scan": "I found no text in {names}. If these are scanned pages, please share them as images, or paste the text.",
    "locked": "I can't read {names}, which needs a password. Please share it without one.",
    "broken_document": "I can't open {names}: the file seems to be damaged. Please save it anew and share it again.",
    "old_format": "I can't read {names}, in a format of Office before 2007. Please save it as docx, xlsx or pptx and "
    "share it again.",
    "too_complex": "I can't read {names}: it takes too much time or memory. Please share the part that matters.",
    "large_document": "I can't take {names}: a document may have at most 20 MB. Please share the part that matters.",
    "large_clip": "I can't take {names}: a voice clip may have at most 20 MB. Please record a shorter one.",
    "no_words": "I heard no words in {names}. Please record it again, or write instead.",
    "not_heard": "I couldn't turn {names} into text just now. Please share it again in a moment, or write instead.",
    "busy": "I couldn't read {names} in time, since many documents are being read. Please share it again in a moment.",
    "too_many": "I left out {names}, since a message may carry at most 10 files. Please send the rest in another one.",
    "gone": "I can't find {names} in Slack: it was deleted, or shared where I'm not. Please share it here.",
    "hidden": "Slack hides {names}, since this workspace has reached its limits. Please share it again.",
    "external": "I can't read {names}, which isn't kept in Slack. Please upload it to Slack itself.",
    "no_access": "Slack didn't let me read {names}. Please ask the person who runs Bobbin to add the permission "
    "files:read, then share it again.",
    "unreachable": "I couldn't get {names} from Slack just now. Please share it again in a moment.",
}
"""What a person reads for each reason why a shared file couldn't be read."""
SPOKEN = "{name} said: {text}"
