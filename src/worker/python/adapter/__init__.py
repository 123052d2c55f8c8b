"""mtask's adapter for Python workers; start.py says how it is run.

`start` begins it and `main` has its course. `library` keeps Python's own modules apart from the
user's, `worker` finds and constructs what the user wrote, `expression` where that is a lambda, `calls`, `batches`, `threads` and `tasks`
call it, `answers` makes JSON of what comes of that, `errors` tells people what went wrong in it, and
`channel` carries all that.
"""
