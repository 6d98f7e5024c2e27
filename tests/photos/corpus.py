"""The corpus: good pictures and bad files, all made by code, each with what has to become of it."""

from tests.photos.bad_pictures import bad_pictures
from tests.photos.entries import Entry
from tests.photos.good_pictures import good_pictures

CORPUS: list[Entry] = [*good_pictures(), *bad_pictures()]

assert len({entry.name for entry in CORPUS}) == len(CORPUS), "two entries have the same name"
