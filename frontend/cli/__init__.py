"""The commands of `python -m frontend`.

commands            which command runs, and its exit code
serve               listen, serve, end
draining_server     uvicorn with a pause between SIGTERM and the end of listening
bounded_connection  HTTP/1.1 with bounds for what one connection may take
check               `--check`: settings, and whether all can be reached
diagnosed           the diagnosed calls, page by page
rescoring           score stored calls again: bounded, resumable
backfill            the same with the release that serves now
rollout             the steps of a rollout, and its audit trail
replay              `rollout --replay`: what would change with a candidate
drift               `drift`: stored calls held to what the release was trained on
intake              `intake`: diagnose what lands in the storage account
callbacks           `callbacks`: messages that wait or were given up
clock               `clock`: whether calls expire by this machine's clock
recover             `recover`: copy what can be read of a damaged SQLite file
write_openapi       writes docs/openapi.json
write_settings      writes the tables of docs/settings.md
"""
