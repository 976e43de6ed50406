"""What a node shows in a browser: everything to look at, nothing to change but annotations.

patients, studies    what it holds, from the patient down to the series
instances, plans     one object: its picture, its attributes, a plan's beams
activity             what came, who is connected, what is being sent, whom it knows
statistics, plots    numbers and pictures of them
account              signing in and out
errors, assets       the pages for what goes wrong, the stylesheet
showing, paging      how values and long lists look
"""
