"""What people read, one catalogue a language: shared by the server, the console and the figures.

languages   the languages that we write in
catalogue   a text by its key, with its values
"""
