"""What a scheduled task calls has to outlive the session that scheduled it: so it is in a module."""

count = 0


def tick():
    global count
    count += 1
