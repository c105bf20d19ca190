"""The journal: append-only, hash-chained, durable before anything leaves; checked, anchored, and cut to what is sound.

    chain     how one hash follows the other             digests   keyed digests of content
    bodies    small content, packed beside a record       snapshot  a cached fold, and whether to trust it
    writer    group commit on one thread                  anchor    the head, kept in a second file
    verify    where a journal is damaged                  salvage   what of it is still sound
    home      the folder it all lies in

It imports abi and ports only. It knows nothing of what a record means.
"""
