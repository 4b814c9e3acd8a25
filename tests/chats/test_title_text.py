"""Titles are cleaned of everything that models write around them, and limited to two to eight words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chats.title_text import MAX_CHARACTERS, clean_title


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Sky and Colour", "Sky and Colour"),
        ('"Sky and Colour."', "Sky and Colour"),
        ("Title: Sky and Colour", "Sky and Colour"),
        ("**Title:** “Sky and Colour”\n\nI hope you like it!", "Sky and Colour"),
        ("# title - `Sky and Colour`", "Sky and Colour"),
        ("\n\n  Sky   and\tColour  ", "Sky and Colour"),
        ("# Sky and Colour", "Sky and Colour"),
        ("## Title: Sky and Colour ##", "Sky and Colour"),
        ("a) Sky and Colour", "Sky and Colour"),
        ("{title: Sky and Colour}", "Sky and Colour"),
        ("Perfect new title: Sky and Colour", "Sky and Colour"),
        ("Title suggestion: Sky and Colour", "Sky and Colour"),
        ("Headline: Sky and Colour", "Sky and Colour"),
        ("Sky and Colour - 3 words", "Sky and Colour"),
        ("Sky and Colour [3 words]", "Sky and Colour"),
        ("<conversation_title>Sky and Colour</conversation_title>", "Sky and Colour"),
        ("<chat-title>Sky and Colour</chat-title>", "Sky and Colour"),
        ("Sky and Colour<|im_end|>", "Sky and Colour"),
        ("[Title] Sky and Colour", "Sky and Colour"),
        ("Title: <Sky and Colour>", "Sky and Colour"),
        ("Got it! Sky and Colour", "Sky and Colour"),
        ("Here you go: Sky and Colour", "Sky and Colour"),
        ("User: Why is the sky blue?\nTitle: Sky and Colour", "Sky and Colour"),
        ("Title -> Sky and Colour", "Sky and Colour"),
        ("Title | Sky and Colour", "Sky and Colour"),
        ("Título da conversa: Céu e cor", "Céu e cor"),
        ("Hier ein kurzer Titel: Himmel und Farbe", "Himmel und Farbe"),
        ("Titel der Unterhaltung: Himmel und Farbe", "Himmel und Farbe"),
        ("Titre de la conversation : Ciel et couleur", "Ciel et couleur"),
        ("以下是标题：天空的颜色", "天空的颜色"),
        ("会話のタイトル：空の色", "空の色"),
        ("\ufeffSky and Colour\u200b", "Sky and Colour"),
        ("Untitled Conversation", ""),
        ("No title available.", ""),
        ("New Titles in Economics", "New Titles in Economics"),
        ("Untitled Poems of Emily Dickinson", "Untitled Poems of Emily Dickinson"),
        ("Hemingway's Story in Six Words", "Hemingway's Story in Six Words"),
        ("F# and C# Major", "F# and C# Major"),
        ("### **Sky and Colour** ###".rstrip(" #"), "Sky and Colour"),
        ("1. Sky and Colour\n2. Why it is Blue", "Sky and Colour"),
        ("1) Sky and Colour", "Sky and Colour"),
        ("- Sky and Colour", "Sky and Colour"),
        ("> *Sky and Colour*", "Sky and Colour"),
        ("Option 1: Sky and Colour", "Sky and Colour"),
        ('{"title": "Sky and Colour"}', "Sky and Colour"),
        ('```json\n{"lang": "en", "title": "Sky and Colour."}\n```', "Sky and Colour"),
        ('["Sky and Colour", "Blue"]', "Sky and Colour"),
        ("```\nSky and Colour\n```", "Sky and Colour"),
        ("Here is a title:\n\nSky and Colour", "Sky and Colour"),
        ("Here's a short title for your conversation: “Sky and Colour”", "Sky and Colour"),
        ("Sure! Here is the title:\n**Sky and Colour**", "Sky and Colour"),
        ("Certainly!\n\nTitle: Sky and Colour", "Sky and Colour"),
        ("The title of this conversation is: Sky and Colour", "Sky and Colour"),
        ("Suggested title: 1. Sky and Colour (3 words)", "Sky and Colour"),
        ("<title>Sky and Colour</title>", "Sky and Colour"),
        ("[Sky and Colour](https://a.example)", "Sky and Colour"),
        ("Titel: Himmel und Farbe", "Himmel und Farbe"),
        ("标题：天空的颜色", "天空的颜色"),
        ("Sure, here you go:\nSky and Colour", "Sky and Colour"),
        ("### Title\nSky and Colour", "Sky and Colour"),
        ("A good title would be “Sky and Colour”.", "Sky and Colour"),
        ('The title is "Sky and Colour"', "Sky and Colour"),
        ("I would suggest: Sky and Colour", "Sky and Colour"),
        ("Based on the conversation, a title could be: Sky and Colour", "Sky and Colour"),
        ("Final answer: Sky and Colour", "Sky and Colour"),
        ('{"title": "Sky and Colour"', "Sky and Colour"),
        ("{'title': 'Sky and Colour'}", "Sky and Colour"),
        ('{title: "Sky and Colour"}', "Sky and Colour"),
        ("\\boxed{Sky and Colour}", "Sky and Colour"),
        ('"Sky and Colour" - a concise title', "Sky and Colour"),
        ("I'd call it “Sky and Colour”.", "Sky and Colour"),
        ("Title (3 words): Sky and Colour", "Sky and Colour"),
        ("Title — Sky and Colour", "Sky and Colour"),
        ("Title = Sky and Colour", "Sky and Colour"),
        ("Sure — Sky and Colour", "Sky and Colour"),
        ("Topic: Sky and Colour", "Sky and Colour"),
        ("Assistant: Sky and Colour", "Sky and Colour"),
        ("AI: Ethics and Law", "AI: Ethics and Law"),
        ("Bot: Deploy to Slack", "Bot: Deploy to Slack"),
        ("Let me think. The title should be: Sky and Colour", "Sky and Colour"),
        ("Sky &amp; Colour", "Sky & Colour"),
        ('\\"Sky and Colour\\"', "Sky and Colour"),
        ("[Sky and Colour]", "Sky and Colour"),
        ("(Sky and Colour)", "Sky and Colour"),
        ("Sky and Colour</s>", "Sky and Colour"),
        ("Hier ist ein Titel: Himmel und Farbe", "Himmel und Farbe"),
        ("Voici un titre : Ciel et couleur", "Ciel et couleur"),
        ("Aquí tienes un título: Cielo y color", "Cielo y color"),
        ("Sorry Day in Australia", "Sorry Day in Australia"),
        ("Chat-Based Customer Support Design", "Chat-Based Customer Support Design"),
        ("Topic-Modeling with Python", "Topic-Modeling with Python"),
        ("Subject-Verb Agreement in English", "Subject-Verb Agreement in English"),
        ("Title-Case Rules for Headlines", "Title-Case Rules for Headlines"),
        ("Unable to Connect to PostgreSQL", "Unable to Connect to PostgreSQL"),
        ("Sorry, Wrong Number Plot Summary", "Sorry, Wrong Number Plot Summary"),
        ("Sorry, I Haven't a Clue Rules", "Sorry, I Haven't a Clue Rules"),
        ("I Can't Get No Satisfaction Chords", "I Can't Get No Satisfaction Chords"),
        ('"Hello World" Program in Rust', '"Hello World" Program in Rust'),
        ("`async with` in Python Explained", "`async with` in Python Explained"),
        ('Meaning of "Hello World"', 'Meaning of "Hello World"'),
        ('"Sky and Colour". It fits well.', "Sky and Colour"),
        ("Cats & Dogs: a Comparison", "Cats & Dogs: a Comparison"),
        ("C# and .NET", "C# and .NET"),
        ("The Title Fight: Ali and Frazier", "The Title Fight: Ali and Frazier"),
        ("3 Ways to Cook Rice", "3 Ways to Cook Rice"),
        ("Sure Signs of Spring", "Sure Signs of Spring"),
        (
            "one two three four five six seven eight nine ten",
            "one two three four five six seven eight",
        ),
        ("Ask <@U0ALICE> and <!channel|everybody>", "Ask U0ALICE and everybody"),
        ("w" * 60 + " " + "v" * 60, "w" * 60 + " " + "v" * 18 + "…"),
        ("空が青い理由", "空が青い理由"),
        ("ทำไมท้องฟ้าเป็นสีฟ้า", "ทำไมท้องฟ้าเป็นสีฟ้า"),
    ],
)
def test_title_is_cleaned(said: str, title: str) -> None:
    assert clean_title(said) == title


@pytest.mark.parametrize(
    "said",
    [
        *("", "   \n", "Sky", '"Sky."', "Title:", "Title: Sky", "***", "Привет"),
        *("I cannot write a title.", "Sorry, I can't help with that.", "I'm unable to do this"),
        *("I am unable to do this.", "I'm sorry, but I can't help.", "I can’t help with that."),
    ],
)
def test_single_words_and_refusals_are_not_titles(said: str) -> None:
    assert clean_title(said) == ""


@given(st.text())
def test_any_reply_becomes_a_title_within_the_limits(said: str) -> None:
    title = clean_title(said)
    assert len(title) <= MAX_CHARACTERS
    assert len(title.split()) <= 8
    assert "\n" not in title
    assert title == title.strip()
