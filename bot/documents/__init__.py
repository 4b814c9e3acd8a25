"""Documents as text: pdf, docx, xlsx, xls, pptx, odt, ods, rtf, epub, html and eml become Markdown.

Documents are hostile until proven otherwise. `reader` starts one process for each document, `worker` is that process,
and the other modules run only there: `kinds` identifies the bytes, and each format has a module that yields its text
piece by piece.
"""
