mv_images = mv["images"]["says"] if mv else None
