"""Which chapter of Python's language reference does a sentence come from?

A model that takes a while to train, as a class for `mtask --python`; examples/classify.sh runs it.
It needs scikit-learn. The sentences come with Python itself.

    classify.py sentences    writes a few thousand sentences, one a line
    classify.py alone        classifies the lines of stdin in this one process
"""

import json
import re
import sys
from pydoc_data.topics import topics


def sentences():
    """Each sentence, with the chapter it is from."""
    for chapter, text in sorted(topics.items()):
        for sentence in re.split(r"(?<=[.!?])\s+", " ".join(text.split())):
            if 30 <= len(sentence) <= 300:
                yield sentence, chapter


class Classifier:
    def __init__(self):
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        texts, chapters = zip(*list(sentences())[::2])  # it has not seen the other half
        model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, tol=0.01))
        self.model = model.fit(texts, chapters)

    def __call__(self, batch):
        best = self.model.predict_proba(batch)
        chapters = self.model.classes_[best.argmax(axis=1)]
        return [
            {"chapter": chapter, "probability": round(float(row.max()), 4)}
            for chapter, row in zip(chapters, best)
        ]


def main(task):
    if task == "sentences":
        for sentence, _ in sentences():
            print(sentence)
    elif task == "alone":
        batch = [line.rstrip("\n") for line in sys.stdin]
        for result in Classifier()(batch):
            print(json.dumps(result, separators=(",", ":")))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
