"""What fleets are made from: each household's series over a year, laid out for being read step by step."""

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]


class Library:
    """A series of each household: a step's figures of all lie beside each other, and the year stands there twice."""

    def __init__(self, values: Array) -> None:
        """`values`: a row per household, a column per step of a year."""
        self.count, self.year = values.shape
        twice = np.concatenate((values.T, values.T))
        self.flat = twice.ravel()
        self._before = np.concatenate((np.zeros((1, self.count)), np.cumsum(twice, axis=0)))

    def at(self, rows: NDArray[np.intp], first: NDArray[np.intp]) -> NDArray[np.intp]:
        """Where households begin in `flat`."""
        found: NDArray[np.intp] = first * self.count + rows
        return found

    def sums(self, rows: NDArray[np.intp], first: NDArray[np.intp], steps: int) -> Array:
        """What so many steps come to."""
        years, rest = divmod(steps, self.year)
        found: Array = years * self._before[self.year, rows] + self._before[first + rest, rows] - self._before[first, rows]
        return found
