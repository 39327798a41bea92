"""A network that reads a video: a backbone turns each frame into features, a recurrent layer reads
them in their order.

After Hochreiter and Schmidhuber (1997, LSTM) and Cho et al. (2014, GRU), as in the thesis on ForgeryNet
that the recipe `video-lstm` follows: what the last step leaves, of both directions where there are two,
goes through dropout into a linear layer. The features are what the backbone's own classifier is given.

One option is not the thesis's: `changes`. From features alone a recurrent network has to learn to
compare before it can see that something changed, which takes more videos than a small set has; given the
differences, brought to the features' scale by batch normalisation, it sees them at once.
"""

import torch
from torch import Tensor, nn

from .recipe import SequenceRecipe


class SequenceModel(nn.Module):
    """N×T×3×H×W pixels, uint8 or float in 0…255 → N×`classes` logits.

    `frames`: a network of images; its classifier is taken off. `reader` `mean` is the yardstick: each
    frame is classified alone, and the answer is the log of the mean of the frames' probabilities.
    """

    def __init__(self, frames: nn.Module, recipe: SequenceRecipe, classes: int) -> None:
        super().__init__()
        width = _without_classifier(frames)
        self.frames, self.reader = frames, recipe.reader
        self.dropout = nn.Dropout(recipe.dropout)
        if recipe.reader != "mean":
            kind = nn.GRU if recipe.reader == "gru" else nn.LSTM
            between = recipe.dropout if recipe.layers > 1 else 0.0
            both = recipe.reader == "bilstm"
            given = width * (2 if recipe.changes else 1)
            self.scale = nn.BatchNorm1d(given) if recipe.changes else nn.Identity()
            self.recurrent = kind(
                given, recipe.units, recipe.layers, batch_first=True, dropout=between, bidirectional=both
            )
            width = recipe.units * (2 if both else 1)
        self.changes = recipe.changes
        self.classifier = nn.Linear(width, classes)

    def forward(self, clips: Tensor) -> Tensor:
        images = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        features = self.frames(images).unflatten(0, clips.shape[:2])
        if self.reader == "mean":
            logits = self.classifier(self.dropout(features)).float()
            return logits.log_softmax(2).logsumexp(1) - torch.tensor(float(clips.shape[1])).log()
        if self.changes:
            before = torch.cat((features[:, :1], features[:, :-1]), 1)
            both = torch.cat((features, features - before), 2)
            features = self.scale(both.flatten(0, 1)).unflatten(0, clips.shape[:2])
        _, left = self.recurrent(features)
        hidden = left[0] if isinstance(left, tuple) else left
        # Layers × directions come first; of the last layer all directions.
        last = hidden[-2:] if self.reader == "bilstm" else hidden[-1:]
        logits = self.classifier(self.dropout(last.transpose(0, 1).flatten(1)))
        return logits


def _without_classifier(network: nn.Module) -> int:
    """Takes a backbone's classifier off; returns how many features it was given."""
    holder = getattr(network, "net", network)
    name = next(name for name in ("head", "fc", "classifier") if hasattr(holder, name))
    linear = next(layer for layer in getattr(holder, name).modules() if isinstance(layer, nn.Linear))
    setattr(holder, name, nn.Identity())
    return linear.in_features
