import requests
from requests import Session as Outer


class Session:
    def get(self, url):
        return url

    def retry_later(self):
        return 1

    def close(self):
        return 1


def fetch(connection, other):
    requests.get("u")
    Outer().get("u")
    requests.Session().retry_later()
    connection.close()
    connection.get("u")
    other.retry_later()


def get(url):
    return Session().get(url)
