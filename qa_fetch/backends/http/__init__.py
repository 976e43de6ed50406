"""What archives behind HTTP have in common: connections that are kept, bodies that are streamed, objects on their way.

connection  kept connections per archive, and a sentence for each way in which one fails
login       who we are: passwords and tokens, which never leave this room but in a request
client      one request and its answer
body        an answer's bytes as they come, framed strictly
multipart   the parts of such a body, in one reused buffer
arrival     a part that is a Part-10 file, on its way into a claim
upload      files on their way out, never in memory as a whole
objects     several transfers at a time
values      DICOM JSON and Orthanc's JSON as data sets
steps       testing the connection
"""
