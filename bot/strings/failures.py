"""Why an answer failed."""

from __future__ import annotations

FAILURES: dict[str, str] = {
    "unreachable": "{model} couldn't be reached. Please try again in a moment.",
    "timeout": "{model} took too long to respond. Please try again.",
    "server_fault": "{model}'s provider has a problem at its end. Please try again in a moment.",
    "busy": "{model} is very busy at the moment. Please wait a little and try again, or choose another model.",
    "broken_off": "The connection to {model} broke off before the answer was complete. Please try again.",
    "empty": "{model} sent an empty answer. Please try again.",
    "garbled": "{model}'s provider sent something that isn't an answer. Please try again; if it happens again, "
    "tell the person who runs Bobbin.",
    "key_rejected": "{model}'s provider doesn't accept my key. Please tell the person who runs Bobbin, or choose "
    "another model.",
    "no_access": "{model}'s provider doesn't let me use this model. Choose another model, or tell the person who runs "
    "Bobbin.",
    "region": "{model}'s provider doesn't serve the region that I run in. Choose another model, or tell the person who "
    "runs Bobbin.",
    "data_policy": "The privacy settings of my account exclude every provider of {model}. Choose another model, or "
    "tell the person who runs Bobbin.",
    "blocked": "Something between me and {model}'s provider, such as a proxy or a firewall, refused my request. Please "
    "tell the person who runs Bobbin, or choose another model.",
    "no_credit": "There is no credit left at {model}'s provider. Please tell the person who runs Bobbin, or choose "
    "another model.",
    "daily_limit": "{model}'s provider allows no more for now: a limit for a day or longer is reached. Choose another "
    "model, or try again when it resets.",
    "out_of_memory": "{model}'s server has too little memory for it. Choose a smaller model, or tell the person who "
    "runs Bobbin.",
    "pictures_only": "{model} answered with pictures that I couldn't read. Ask for words, or choose another model.",
    "wrong_address": "I couldn't find {model} at its provider's address. Please tell the person who runs Bobbin, or "
    "choose another model.",
    "model_gone": "{model} isn't available any more. Choose another model, and it will answer the same message.",
    "too_long": "This chat has become too long for {model}. Choose a model with a larger context window, or start "
    "a new chat.",
    "filtered": "{model}'s provider withheld the answer because of its content rules. Try asking in another way, or "
    "choose another model.",
    "budget": "A budget is used up, so {model} couldn't go on. Please try again when it begins anew.",
    "unreadable": "I couldn't read what you attached, and there is nothing else in your message{detail}. "
    "Please try again, or share it in another form.",
    "refused": "{model}'s provider refused the request. Try asking in another way, choose another model, or start a "
    "new chat.",
    "own_fault": "Something went wrong on my side, not with {model}. Please try again; if it happens again, tell the "
    "person who runs Bobbin.",
    "provider_error": "Something went wrong while {model} was answering. Please try again.",
}
"""What a person reads for each `ProviderError.code`."""
FAILURE_REASON = "The provider says: “{reason}”"
