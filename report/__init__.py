"""What a change would do to each stack, for the people who review it; and the picture of what is deployed.

`events.py` reads what the CLI tells of a preview, `composition.py` what is deployed and who may reach whom; the other
modules write it down: `markdown.py` and `mermaid.py` for a pull request, `picture.py` for the documentation.
Only `preview.py` starts anything.
"""
