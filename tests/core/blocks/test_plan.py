from pocketvae.blocks.plan import Block, block_items, plan


def test_blocks_cover_all_items_once_and_depend_on_nothing_else():
    blocks = plan(2500, 1024)
    assert [(block.index, block.first, block.last) for block in blocks] == [
        (0, 0, 1024),
        (1, 1024, 2048),
        (2, 2048, 2500),
    ]
    assert plan(0, 1024) == []


def test_blocks_of_large_items_are_small_and_never_divide_what_is_computed_together():
    sizes = {item_bytes: block_items(item_bytes) for item_bytes in (0, 1, 784, 65536, 100_000, 1 << 20, 1 << 40)}
    assert sizes[784] == 1024
    assert sizes[100_000] == 512
    assert sizes[1 << 40] == 256
    assert all(size % 256 == 0 for size in sizes.values())


def test_a_block_is_named_by_its_items():
    assert str(Block(index=2, first=2048, last=2500)) == "block 2 (items 2048 to 2499)"
