"""The HTTP service for repositories: ingest, follow, fetch; vectors, graphs and summaries for programs.

`python -m doctown.service`, or `doctown serve`. A job is an object in the store (`records`, `store`): any process
answers for it, and one of them runs it (`runner`), whichever first holds its lease. `app` has the routes.
"""
