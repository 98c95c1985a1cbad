package android.content.res

class AssetManager internal constructor()
