"""A small Celery application with CPU work, I/O work, long tasks, workflows and a schedule."""

from proj.celery import app

__all__ = ["app"]
