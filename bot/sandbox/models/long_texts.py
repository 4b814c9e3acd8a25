"""The demo models' long answers."""

from __future__ import annotations

STORY = """\
Once, in a town between two rivers, there stood a mill that no longer ground anything. The wheel still turned, for \
the water did not know that the grain had gone, and at night one could hear it from every house, slow and even, like \
somebody breathing in the next room.

In the mill lived a woman called Orla, who wound thread. People brought her what they had: wool from the hills, flax \
from the low fields, once a sack of nettles, and a boy who had pulled all the silk from an old curtain and did not \
dare to go home. She asked no questions. She set the thread to the wheel's long shaft, and the river wound it.

Each bobbin she put on a shelf, and on each she wrote a word. It was never the name of the owner. On the boy's she \
wrote *courage*, and on the nettles *patience*; on the bobbin of the rich widow, who had come in a carriage and had \
counted her skeins twice, she wrote *enough*. People laughed about it, but they kept the bobbins, and when they used \
the thread they were a little careful with it, as one is with a word that somebody has meant.

One autumn it rained for thirty days. The rivers rose, first the left one and then the right one, as they always \
did, politely, one after the other; but then both rose together, and that nobody had seen. The bridge went in the \
evening. By midnight there was water in the street of the tanners, and the people stood on the hill with their \
lanterns and looked down at the roofs.

Across the water, on the roof of the school, sat eleven children and their teacher. They had stayed late to paint a \
map of the world, and now the world had come in at the door. One could hear them sing, which was worse than if they \
had cried.

"A rope," said the smith. "If we had a rope over there, we could draw a boat along it." But the rope of the town was \
in the tanners' street, and the tanners' street was in the river.

Then Orla came up the hill with a basket. In it were all the bobbins that had not been fetched, and behind her came \
people who had gone home to get theirs. Nobody had called them. They sat down on the wet grass and twisted the \
threads together, wool with flax, flax with silk, nettle with everything; and since they could see little they said \
the words aloud, so that each knew which thread was coming next. Courage. Patience. Enough. Tuesday. Because. Salt.

It took four hours. The rope was as thick as a thumb and had every colour that there is, though by lantern light all \
of them were brown. The boy, who was a man by then and kept the ferry, tied it around himself and swam.

He arrived. That is all that is known about his swimming; he never told it, and the children only remembered that \
somebody climbed onto the roof, shook himself like a dog, and asked whether they would like to go home.

They drew the boat over nine times. The teacher went last, with the map rolled up under her coat. When the water had \
fallen, in the week after, they found the rope still hanging across the river from the school's chimney to the oak on \
the hill, and nobody wanted to take it down. So they built the new bridge beneath it.

It hangs there still. Strangers take it for some custom of the place, and ask, and get a different answer from \
everyone. But the wheel of the old mill turns, and on the shelf stands a row of bobbins, and whoever brings thread \
may look, when it is wound, which word is written on it. That is the end of the story, as far as it has been told."""

RICH = """\
# A tour of Markdown

Here is what an answer may hold, with **bold**, *italic*, ~~struck~~ and `inline code`.

## A list

1. First, a numbered point
2. Then another
   - with a point beneath it
   - and one more
- [ ] a task that is open
- [x] a task that is done

## A table

| Bird | Wingspan | Sings |
| --- | ---: | :---: |
| Wren | 15 cm | yes |
| Heron | 185 cm | hardly |
| Owl | 95 cm | at night |

## Some code

```python
def fibonacci(count: int) -> list[int]:
    numbers = [0, 1]
    while len(numbers) < count:
        numbers.append(numbers[-1] + numbers[-2])
    return numbers[:count]


print(fibonacci(10))  # <!channel> in code is only text
```

> A quotation, which stands
> on two lines.

A link to [the Markdown guide](https://www.markdownguide.org/) and a bare one: https://example.com/.

---

That was all of it."""
