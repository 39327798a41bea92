"""The HTTP server: API, web page, keys and limits.

Empty in this version: it holds the name and its place in the wheel, and nothing can be run yet.
What comes here may import `aidetect`; `aidetect` never imports it.
"""

__all__: list[str] = []
