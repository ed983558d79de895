"""The error is one number an input, and small only for what was learnt."""

import torch

from models.autoencoder import PictureAutoencoder, RowAutoencoder


def test_one_error_an_input():
    assert PictureAutoencoder()(torch.rand(3, 1, 64, 64)).shape == (3,)
    assert RowAutoencoder(20, 8, 4)(torch.rand(3, 20)).shape == (3,)


def test_what_was_learnt_is_told_from_what_was_not():
    torch.manual_seed(0)
    plane, rows = torch.rand(2, 20), torch.rand(200, 2)
    network = RowAutoencoder(20, 16, 4)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(150):
        loss = network(rows @ plane).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert network(rows @ plane).max() < network(torch.rand(20, 20) * 2).min()
