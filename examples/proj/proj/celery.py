"""The application: its tasks, their queues and their schedule.

Where the broker is and how programs behave when it fails over is not configured here. Celery finds it in the module that
CELERY_CONFIG_MODULE names, which the deployment writes.
"""

from celery import Celery
from celery.schedules import crontab

app = Celery("proj", include=["proj.tasks"])

app.conf.task_routes = {
    "proj.tasks.count_primes": {"queue": "video_processing"},
    "proj.tasks.digest": {"queue": "video_processing"},
    "proj.tasks.export": {"queue": "data_export"},
}
app.conf.beat_schedule = {
    "tick": {
        "task": "proj.tasks.tick",
        "schedule": 10.0,
        # A tick that nobody ran in time is worth nothing later.
        "options": {"expires": 60},
    },
    "nightly-report": {
        "task": "proj.tasks.nightly_report",
        "schedule": crontab(hour=2, minute=30),
    },
}
