"""The detector that ships with mlcourse, made to choose: it has learned from thousands of voices, not from `examples`."""
from mlcourse.language.audio import SAMPLE_RATE
from mlcourse.language.detector import LanguageDetector

detector = LanguageDetector.load()


def predict(samples):
    probabilities = detector.predict((samples, SAMPLE_RATE)).probabilities
    return max(probabilities, key=probabilities.get)
