"""`jdsr train --plan`: a whole reproduction as a queue of trainings that can be resumed.

A plan lists jobs in order (`plan_files`). Each is one `jdsr train` or `jdsr weights chain` in a
process of its own (`job_options`, `children`), and what came of it is kept in the folder of the
queue (`records`). `execution` runs the jobs, `estimates` measures beforehand how long they take.
"""
