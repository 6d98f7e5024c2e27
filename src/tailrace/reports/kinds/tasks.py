"""Every task that the person may see."""

from tailrace.reports.tables import table_kind
from tailrace.tasks.schemas import TaskFilters
from tailrace.tasks.service import count_tasks, task_table

KIND = table_kind(name="tasks", title="Tasks", filters=TaskFilters, table=task_table, count=count_tasks)
