from typing import Iterator, Self


class Base:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args):
        return None


class File(Base):
    def read(self):
        return 1

    async def __aenter__(self):
        return Reader()

    async def __aexit__(self, *args):
        return None


class Reader:
    def __iter__(self):
        return self

    def __next__(self) -> File:
        return File()

    def walk(self) -> Iterator[File]:
        yield File()


async def use():
    with File() as file, open("x") as raw:
        file.read()
        raw.read()
    async with File() as reader:
        for file in reader:
            file.read()
        for file in reader.walk():
            file.read()
    return await fetch()


async def fetch():
    reader = Reader()
    return reader


async def again():
    result = await fetch()
    result.walk()
