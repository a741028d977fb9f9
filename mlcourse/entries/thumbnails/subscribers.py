"""The number of subscribers; the picture is not looked at."""


def predict(picture, subscribers): return subscribers
