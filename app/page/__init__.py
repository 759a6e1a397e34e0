"""The page: everything an operator does, in a browser, rendered here and served under the plugin's path."""

from keycairn.app.page.errors import THE_KEYCAIRN, answer_unknown_path, answer_wrong_method
from keycairn.app.page.router import page_router

__all__ = ["THE_KEYCAIRN", "answer_unknown_path", "answer_wrong_method", "page_router"]
