"""A small convolutional network on the spectrogram, from scratch: sounds of a tenth of a second, averaged."""
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from mlcourse.contest import examples
from mlcourse.language.spectrogram import log_mel

torch.manual_seed(0)
torch.set_num_threads(1)
N_FRAMES = 160 # of 10 ms


def spectrogram(samples):
    "Shape (64, 160), each band with mean 0 over time; what is too short is repeated."
    mel = log_mel(samples)
    mel = np.tile(mel, -(-N_FRAMES//mel.shape[1]))[:, :N_FRAMES]
    return torch.from_numpy((mel-mel.mean(axis=1, keepdims=True))/15)


def block(n_in, n_out, size=5):
    return nn.Sequential(nn.Conv1d(n_in, n_out, size, stride=2, padding=size//2), nn.BatchNorm1d(n_out), nn.ReLU())


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.sounds = nn.Sequential(block(64, 64), block(64, 64), nn.Dropout(0.3))
        self.head = nn.Linear(128, 2)

    def forward(self, x):
        x = self.sounds(x)
        return self.head(torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1))


random = np.random.default_rng(0)


def train(net, epochs=25, size=32):
    "Adam, one cycle, with stretches of time and of pitch blanked out."
    data = examples('language')
    x, y = torch.stack([spectrogram(samples) for samples, in data.inputs]), torch.from_numpy(data.truth == 'zh').long()
    steps = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.1)
    plan = torch.optim.lr_scheduler.OneCycleLR(steps, 3e-3, total_steps=epochs*-(-len(x)//size))
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(size):
            batch, band, time = x[rows].clone(), *random.integers([56, N_FRAMES-30])
            batch[:, band:band+8], batch[:, :, time:time+30] = 0, 0
            steps.zero_grad()
            F.cross_entropy(net(batch), y[rows], label_smoothing=0.1).backward()
            steps.step()
            plan.step()
    return net.eval()


net = train(CNN())


def predict(samples):
    with torch.inference_mode(): return ['en', 'zh'][int(net(spectrogram(samples)[None]).argmax())]
