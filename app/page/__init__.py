"""The page: everything an operator does, in a browser, rendered here and served under the plugin's path."""

from keycairn.app.page.errors import answer_unknown_path, answer_wrong_method
from keycairn.app.page.rendering import compile_templates
from keycairn.app.page.router import page_router, page_state

__all__ = ["answer_unknown_path", "answer_wrong_method", "compile_templates", "page_router", "page_state"]
