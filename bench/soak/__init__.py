"""An hour under load and attack: whether memory, descriptors and latencies stay where they are.

`python -m bench.soak [--minutes N] [--shared] [--samples FILE] [--page FILE]`: the lab's internet, one resolverd, and at once
the clients that a mail server's resolver has: what is cached, what nobody has asked for, the combined zone, TCP, verdicts over
policy and HTTP. Beside them attacks take turns, the configuration is read anew every few minutes, and a list dies and comes
back, as does with ``--shared`` the server that keeps the store. Every few seconds a line of JSON says what the process has and
what its clients have waited for; the page and its plot are made of these.

    clients    the load: open, so that a slow server is asked no less
    attacks    what strangers do meanwhile
    samples    what is measured, and what is asked of it
    page       the page and the plot
"""
