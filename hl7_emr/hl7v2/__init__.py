r"""HL7 v2 by MLLP: bytes in, nouns of the record out, and back.

::

    framing.py     bytes of a connection -> frames                  charset.py   MSH-18 -> text
    message.py     text -> segments, fields, repetitions            escapes.py   \F\ and its kin
    datatypes.py   CX, XPN, CWE, TS -> nouns
    patients.py statements.py orders.py   segments -> Patient, Item, ImagingOrder
    intake.py      one message -> what changes, or why not          acknowledgement.py   its answer
    judge.py       frames -> messages and their answers             committer.py         the store, off the loop
    listener.py    the server      client.py sender.py   the way out      results.py   ImagingReport -> ORU^R01
"""
