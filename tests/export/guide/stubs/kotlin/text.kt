package android.text

interface InputType {
    companion object {
        const val TYPE_CLASS_NUMBER = 2
        const val TYPE_NUMBER_FLAG_SIGNED = 4096
    }
}

interface Editable : CharSequence
