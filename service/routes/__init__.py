"""The calls of the gateway, a file for each group; handlers are module-level functions that are handed the parts."""

from fastapi import APIRouter

from service.routes import chat, completions, docs, explain, feedback, figures, operations, page

ROUTERS: tuple[APIRouter, ...] = (
    explain.router,
    figures.router,
    chat.router,
    completions.router,
    feedback.router,
    page.router,
    docs.router,
    operations.router,
)
