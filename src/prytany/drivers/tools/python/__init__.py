"""Python functions of the operator as tools.

    kernel's process        tool process, executed afresh
    tools.py  ─ process.py ═══ messages.py ═══ worker.py ─ describe.py
              └ strike.py

One file is one `tools.PythonTools`; the tools of one set of secrets share a process, so that it holds no other secret.
The kernel never imports the operator's file: what it knows of a tool is what the tool process says of it.
"""
