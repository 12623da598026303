"""The server beside its peers: the same model, the same requests, the same client, one core each, in one run.

`works.py` says what is asked, `servers.py` who is asked, `targets.py` what has to come out.
"""
