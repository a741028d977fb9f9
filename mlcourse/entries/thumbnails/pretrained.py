"""A network that has seen ImageNet, with a linear head that is told the subscribers: what the grader does."""
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from mlcourse.contest import examples
from mlcourse.thumbnails.grader import backbone, MultiScalePooling, pooled_features

torch.set_num_threads(1)
body = MultiScalePooling(backbone()).eval()


def with_subscribers(features, subscribers):
    "A column more: log10 of the subscribers, made large so that the regularisation lets it be."
    return np.column_stack([features, 20*np.log10(np.array(subscribers)+1)])


train = examples('thumbnails')
pictures, subscribers = zip(*train.inputs)
scale = StandardScaler()
seen = scale.fit_transform(pooled_features(body, pictures))
model = LogisticRegression(C=0.001, max_iter=2000)
model.fit(with_subscribers(seen, subscribers), train.truth)


def predict(picture, subscribers):
    seen = scale.transform(pooled_features(body, [picture]))
    return model.decision_function(with_subscribers(seen, [subscribers]))[0]
