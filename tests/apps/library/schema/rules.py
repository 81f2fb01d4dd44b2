"""Who may see which records, wherever they are shown."""

from collections.abc import Callable

from datasources.reviews import Review

from bff import Variant, Viewer


def published_or_own(variant: Variant, viewer: Viewer | None) -> Callable[[Review], bool] | None:
    """Staff see every review; others those that are published, and their own."""
    if variant.staff:
        return None
    own = None if viewer is None else viewer.sub
    return lambda review: review.published or review.writer_id == own


RULES = {Review: published_or_own}
