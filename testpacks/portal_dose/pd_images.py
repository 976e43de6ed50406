pd_images = pd["images"]["says"] if pd else None
