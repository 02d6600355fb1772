"""What a recipe will need on given GPUs: memory, time, traffic, disk. Needs neither torch nor weights nor a GPU."""

from acc.launch.plan.gpus import Gpus, gpus_of
from acc.launch.plan.plan import Plan, plan_of

__all__ = ["Gpus", "Plan", "gpus_of", "plan_of"]
