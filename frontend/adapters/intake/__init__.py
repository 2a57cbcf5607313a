"""Storage events become calls: at least once outside, exactly one record inside (docs/decisions/0036-intake.md).

events    what a message says: which blob has landed
queue     the Azure Storage Queue: messages, their visibility, the poison queue
consumer  takes messages, has their audio diagnosed, removes them when the record stands
poison    what an operator sees of the poison queue, and sends again
"""
