"""Telling people: each one's inbox (`inbox`), and e-mails (`service`), which are rows as well.

Both are written in the transaction of what they tell. A mail is sent by a job, and never said to be sent before.
"""
