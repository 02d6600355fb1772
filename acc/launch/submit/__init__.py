"""`acc submit`: a run as Slurm jobs that depend on each other. Needs neither torch nor transformers."""
