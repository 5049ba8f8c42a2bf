"""Grades a learner's user.py, db.py, auth.py and app.py against the sheet of the exercise.

It runs the learner's code in processes with bounds on time, memory and output, and is no sandbox.
`python -m grade --help` names the options.
"""
