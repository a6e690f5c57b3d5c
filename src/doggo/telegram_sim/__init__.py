"""A Telegram to rehearse with: a fake Bot API server and its chat page.

    people (page, tests) ─▶ people.py ─▶ backlog.py ─▶ delivery.py, polling.py ─▶ the bot
    the page ◀─ events.py ◀─ chatting.py and its neighbours ◀─ methods.py ◀─ app.py ◀─ the bot

Knows the Bot API and nothing of dogs: any bot can rehearse here. All state is in memory.
"""
