"""Texts of symbols to vectors.

from doctown.embedding import EmbeddingSettings, embed_texts, embedding_text
"""

from doctown.embedding.embed import Basis, Embeddings, Method, embed_texts
from doctown.embedding.settings import EmbeddingSettings
from doctown.embedding.text import embedding_text, split_words

__all__ = ["Basis", "EmbeddingSettings", "Embeddings", "Method", "embed_texts", "embedding_text", "split_words"]
