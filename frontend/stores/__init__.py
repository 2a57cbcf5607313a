"""Where audio and records are kept.

protocols          what every store must do
troubles           what is wrong with the stores now
opening            the stores that the settings name
disk_threads       threads that wait for a disk
embedded_audio     audio in a folder
sqlite_file        the file of the records in SQLite: damage, room, leftovers
sqlite_moments     what it remembers of time
rollout_events     steps of a rollout as they are stored
embedded_records   records in SQLite
azure_identity     the identity of this process
azure_call         deadlines and errors of a request to Azure
azure_audio        audio in Azure Blob Storage
azure_records      records in Azure Cosmos DB
"""
