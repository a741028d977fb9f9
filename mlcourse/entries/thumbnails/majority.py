"""The same for all: what any entry has to beat."""


def predict(picture, subscribers):
    "`picture` is uint8, shape (90, 160, 3). Answer a number, higher for more views."
    return 0
